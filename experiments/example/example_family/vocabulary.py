"""The word-level tokenizer of the family: one token per symbol and per command word."""

from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from .skills import EQUALS, SKILLS, SYMBOLS

PAD, END, UNKNOWN = "<pad>", "</s>", "<unk>"
WORDS = (PAD, END, UNKNOWN, EQUALS, *SKILLS, *SYMBOLS["A"], *SYMBOLS["B"])


def build_tokenizer() -> PreTrainedTokenizerFast:
    """Returns the tokenizer. Ids follow the order of `WORDS`; no token is added at either end of a text."""
    words = {word: index for index, word in enumerate(WORDS)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    # Every word stands alone: with the prefix of word pieces absent, this decoder joins by single blanks.
    tokenizer.decoder = decoders.WordPiece(prefix="##", cleanup=False)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        unk_token=UNKNOWN,
        model_max_length=64,
        clean_up_tokenization_spaces=False,
    )
