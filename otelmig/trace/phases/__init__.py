"""One module per phase of the tree: what each phase's span is made of."""
