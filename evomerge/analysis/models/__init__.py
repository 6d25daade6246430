"""Numbers about models from which a merge begins: likeness, weights from losses, shares of layers."""
