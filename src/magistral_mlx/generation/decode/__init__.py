"""Turn a prompt into token ids: prefill, sampling, speculation, batches."""
