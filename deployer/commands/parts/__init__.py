"""What verbs are made of. Each part is quick to import: what is slow, it imports when it is used."""
