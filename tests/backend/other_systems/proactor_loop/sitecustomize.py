"""asyncio as on Windows, where its usual loop can wait for no socket of ZeroMQ and pyzmq says so."""

import asyncio

setattr(asyncio, "ProactorEventLoop", asyncio.SelectorEventLoop)  # noqa: B010 - the types know of no other system

import zmq.asyncio  # noqa: E402 - it looks at the loop's class when it is needed, at its own choice when it is imported

setattr(zmq.asyncio, "_get_selector", zmq.asyncio._get_selector_windows)  # noqa: B010
