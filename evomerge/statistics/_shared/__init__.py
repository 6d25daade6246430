"""Parts that statistics share: declaration, keys, texts, collection and the folder of finished arrays."""
