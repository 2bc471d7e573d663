"""What ``patmiddleware demo`` runs."""
