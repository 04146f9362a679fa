"""HTTP beside the sockets: webhooks, health and metrics, see :mod:`handlers.http.app`."""
