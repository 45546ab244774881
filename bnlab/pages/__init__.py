"""The pages of a results folder: data without HTML, templates and scripts, the server of `bnlab dashboard`."""
