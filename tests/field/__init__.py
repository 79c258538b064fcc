"""The field: IRC, as ngircd serves it."""
