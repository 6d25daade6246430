"""A model folder as files, before anything is read; and files as transformers reads them, whose errors become ours."""
