"""Numbers of several models together that are fitted or measured on their texts."""
