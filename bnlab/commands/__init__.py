"""The subcommands of `bnlab`, a module for each family."""
