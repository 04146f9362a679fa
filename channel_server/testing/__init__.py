"""What applications built on the channel server test with.

* `channel_server.testing.client`: a channel test client, in-process or over a real websocket;
* `channel_server.testing.fixture`, `matcher`, `replay`, `record`: recorded conversations;
* `channel_server.testing.proxy`: a TCP proxy before a server or a database: it delays, cuts,
  stalls, throttles, repeats and loses;
* `channel_server.testing.plugin`: the pytest plugin that gives them as fixtures.
"""
