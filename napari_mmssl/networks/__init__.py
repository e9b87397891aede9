"""Networks: encoders that declare their feature pyramid, the decoder that sits on any of them, transfer of weights."""
