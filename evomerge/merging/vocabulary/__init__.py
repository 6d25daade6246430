"""The vocabulary of a merged model: its tokens, which rows of its sources' embeddings they get, its tokenizer's files.

A recipe that says nothing about tokens merges embeddings row by row, and the model gets the reference's tokenizer. One
that names a tokenizer merges them token by token: the tokenizer's tokens (`merged`) are looked up in each source's
(`stored`), and each row of the model's embeddings comes from the row of its token there, wherever that is
(`token_rows`). What a source does not have is filled in by the rules of `defaults`.
"""
