"""The service's parts. Chalice gives this folder's name its meaning: it is deployed together with app.py."""
