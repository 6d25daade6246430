"""Models that see or hear, encoder-decoders and encoders."""

from __future__ import annotations

from collections.abc import Mapping

from experiments.architectures import multimodal
from experiments.architectures.architecture import (
    CLASSIFIER,
    ENCODER,
    GQA,
    MASKED,
    MULTIMODAL,
    SEQ2SEQ,
    SPEECH,
    Architecture,
    of,
    only,
)
from experiments.architectures.sizes import VOCABULARY

OTHERS: Mapping[str, Architecture] = {
    "llava": Architecture("LLaVA", multimodal.llava, MULTIMODAL, why="CLIP tower and projector",
                          image=multimodal.picture),
    "qwen2_vl": Architecture("Qwen2-VL", multimodal.qwen2_vl, MULTIMODAL, why="tower, three-axis positions",
                             image=multimodal.patches),
    "qwen3_vl": Architecture("Qwen3-VL", multimodal.qwen3_vl, MULTIMODAL, why="tower that feeds several layers",
                             image=multimodal.patches),
    "gemma3_vision": Architecture("Gemma 3, with vision", multimodal.gemma3_vision, MULTIMODAL, why="SigLIP tower",
                                  image=multimodal.picture),
    "t5": Architecture(
        "T5",
        only("T5Config", d_model=16, d_kv=4, d_ff=32, num_layers=2, num_heads=4, decoder_start_token_id=0),
        SEQ2SEQ, why="encoder and decoder", objective="word_logprob",
    ),
    "bart": Architecture(
        "BART",
        only("BartConfig", d_model=16, encoder_layers=2, decoder_layers=2, encoder_ffn_dim=32, decoder_ffn_dim=32,
              encoder_attention_heads=2, decoder_attention_heads=2, max_position_embeddings=64,
              decoder_start_token_id=2, forced_eos_token_id=None),
        SEQ2SEQ, why="encoder and decoder, shared embeddings", objective="word_logprob",
    ),
    "marian": Architecture(
        "MarianMT",
        only("MarianConfig", d_model=16, encoder_layers=2, decoder_layers=2, encoder_ffn_dim=32, decoder_ffn_dim=32,
              encoder_attention_heads=2, decoder_attention_heads=2, max_position_embeddings=64,
              decoder_start_token_id=0, forced_eos_token_id=None, decoder_vocab_size=VOCABULARY),
        SEQ2SEQ, objective="word_logprob", why="translation, computed positions",
    ),
    "switch_transformers": Architecture(
        "Switch Transformers",
        only("SwitchTransformersConfig", d_model=16, d_kv=4, d_ff=32, num_layers=2, num_heads=4,
              num_sparse_encoder_layers=1, num_sparse_decoder_layers=1, num_decoder_layers=2, num_experts=4,
              decoder_start_token_id=0),
        SEQ2SEQ, objective="word_logprob", why="encoder and decoder with experts",
    ),
    "whisper": Architecture(
        "Whisper",
        only("WhisperConfig", d_model=16, encoder_layers=2, decoder_layers=2, encoder_ffn_dim=32, decoder_ffn_dim=32,
              encoder_attention_heads=2, decoder_attention_heads=2, num_mel_bins=8, max_source_positions=8,
              max_target_positions=64, decoder_start_token_id=1, begin_suppress_tokens=None, suppress_tokens=None),
        SPEECH, why="hears", objective="transcript_logprob",
    ),
    "bert": Architecture("BERT, classification", of("BertConfig", num_labels=3,
                                                     architectures=["BertForSequenceClassification"]), CLASSIFIER,
                         objective="label_logprob"),
    "roberta": Architecture(
        "RoBERTa, classification",
        of("RobertaConfig", num_labels=3, architectures=["RobertaForSequenceClassification"]),
        CLASSIFIER, objective="label_logprob",
    ),
    "distilbert": Architecture(
        "DistilBERT, classification",
        only("DistilBertConfig", dim=16, hidden_dim=32, n_layers=2, n_heads=2, max_position_embeddings=64,
              num_labels=3, architectures=["DistilBertForSequenceClassification"]),
        CLASSIFIER, objective="label_logprob",
    ),
    "deberta": Architecture(
        "DeBERTa-v3, classification",
        of("DebertaV2Config", num_labels=3, architectures=["DebertaV2ForSequenceClassification"]),
        CLASSIFIER, objective="label_logprob", why="no absolute positions",
    ),
    "albert": Architecture(
        "ALBERT, masked words",
        of("AlbertConfig", embedding_size=8, architectures=["AlbertForMaskedLM"]), MASKED, objective="word_logprob",
        why="one layer, run many times",
    ),
    "reward_model": Architecture(
        "Llama reward model",
        of("LlamaConfig", **GQA, num_labels=3, architectures=["LlamaForSequenceClassification"]),
        CLASSIFIER, objective="label_logprob", why="a head of scores in place of tokens",
    ),
    "bert_masked": Architecture("BERT, masked words", of("BertConfig", architectures=["BertForMaskedLM"]), MASKED,
                                objective="word_logprob"),
    "modernbert": Architecture(
        "ModernBERT, classification",
        of("ModernBertConfig", num_labels=3, architectures=["ModernBertForSequenceClassification"]), CLASSIFIER,
        objective="label_logprob",
    ),
    "sentence_encoder": Architecture(
        "MiniLM-like sentence encoder", of("BertConfig", architectures=["BertModel"]), ENCODER,
        why="vectors of sentences", objective="alikeness",
    ),
    "mpnet": Architecture("MPNet sentence encoder", of("MPNetConfig", architectures=["MPNetModel"]), ENCODER,
                          objective="alikeness"),
    "qwen3_embedding": Architecture(
        "Qwen3-Embedding", of("Qwen3Config", **GQA, head_dim=4, architectures=["Qwen3Model"]), ENCODER,
        why="a decoder without its head", objective="alikeness",
    ),
}  # fmt: skip
