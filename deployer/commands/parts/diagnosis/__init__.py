"""What `deployer doctor` looks at. `reading` is the one module that asks AWS; each `of_...` module judges a
part of what was read, purely; `findings` is all of them in order."""
