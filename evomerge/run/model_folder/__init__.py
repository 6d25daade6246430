"""The folder of a merged model: its card, and the proof that it answers as the candidate did."""
