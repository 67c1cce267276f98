"""The control plane's two faces, gRPC and REST, made from one ``.proto``.

    descriptors ─endpoints─▶ Endpoint(method, verb, path) + handler ─┬─▶ grpc_face ─▶ gRPC
                                                                     ├─▶ rest_face ─▶ JSON
                                                                     └─▶ openapi   ─▶ document

A handler is written once: ``async (request, caller) ─▶ response``. Who may call it is decided
once, in ``access``. ``hub`` feeds every watch. Nothing here decides what a change does.
"""
