"""Wires: what processes of this machine reach each other by, until a test cuts them."""

from __future__ import annotations

import asyncio
import threading

HOST = "127.0.0.1"


class Wires:
    """Proxies that are cut and mended together."""

    def __init__(self) -> None:
        self._is_cut = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def lead(self, port: int, to: int) -> None:
        """Takes in at one port what is meant for another, and brings the answers."""

        async def take_in(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._writers.add(writer)
            try:
                if not self._is_cut:
                    there, out = await asyncio.open_connection(HOST, to)
                    self._writers.add(out)
                    back = asyncio.ensure_future(self._carry(there, writer))
                    self._tasks.add(back)
                    back.add_done_callback(self._tasks.discard)
                    await self._carry(reader, out)
            except OSError:
                pass
            finally:
                self._drop(writer)

        asyncio.run_coroutine_threadsafe(
            asyncio.start_server(take_in, HOST, port), self._loop
        ).result(10)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            self._drop(writer)

    def _drop(self, writer: asyncio.StreamWriter) -> None:
        self._writers.discard(writer)
        writer.close()

    def cut_all(self) -> None:
        """Nothing arrives any more."""
        self._is_cut = True

        def close() -> None:
            for writer in self._writers:
                writer.transport.abort()
            self._writers.clear()

        self._loop.call_soon_threadsafe(close)

    def mend(self) -> None:
        """What is said from now on arrives."""
        self._is_cut = False

    def end(self) -> None:
        """Cuts them for good."""
        self.cut_all()
        asyncio.run_coroutine_threadsafe(self._finish(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    async def _finish(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
