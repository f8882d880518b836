"""The loss of an adapter on rows that nobody trained on, by one evaluator for all tools.

python bench/held_out_loss.py MODEL rows.jsonl [ADAPTER]
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))


def main() -> None:
    """Print nats a token of the answers, all of them weighed alike, in float32."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from bench.bare_loops import padded, read

    model_path, rows_path, *adapter = sys.argv[1:]
    tokenizer = AutoTokenizer.from_pretrained(model_path)
    model = AutoModelForCausalLM.from_pretrained(model_path, dtype=torch.float32)
    model = (PeftModel.from_pretrained(model, adapter[0]) if adapter else model).eval()
    rows = sorted(read(tokenizer, rows_path), key=lambda row: len(row[0]))
    total, tokens = 0.0, 0
    with torch.no_grad():
        for start in range(0, len(rows), 8):
            batch = padded(rows[start : start + 8], tokenizer.pad_token_id)
            targets = batch.pop("labels")[:, 1:]
            logits = model(**batch).logits[:, :-1]
            total += float(torch.nn.functional.cross_entropy(logits[targets.ne(-100)].float(), targets[targets.ne(-100)], reduction="sum"))
            tokens += int(targets.ne(-100).sum())
    print(f"{total / tokens:.4f}")


if __name__ == "__main__":
    main()
