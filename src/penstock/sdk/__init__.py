"""What a service imports as ``penstock``: connect, send, consume.

    client ─▶ producer ─▶ switch ─▶ lanes ─▶ librdkafka        (routing, breaker: pure)
           └▶ consumer ─▶ readers ─▶ inbox
    metadata ◀─ control (the control plane's watch) | static

`aio` is the same for asyncio, over the same core.
"""
