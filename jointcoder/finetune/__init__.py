"""Fine-tuning: adapters trained, exported for the engine, checked and put in force. ``python -m jointcoder.finetune``.

Needs the extra ``finetune`` (torch, transformers, peft, trl, gguf). Nothing outside this room imports it.
"""
