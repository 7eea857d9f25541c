"""A small shop whose responses are cached, and invalidated by tags when a price changes.

python docs/examples/fastapi/app.py
"""

from __future__ import annotations

import asyncio
import sys
from typing import Annotated

import uvicorn
from fastapi import Depends, FastAPI, HTTPException

from cachestorm import Cache
from cachestorm.contrib.fastapi import CacheMiddleware, cache_of, cached

prices = {"tea": 3, "coffee": 4}

app = FastAPI(title="A shop")
app.add_middleware(CacheMiddleware, cache=Cache(max_memory="64mb"))
of_item = cached(600, tags=["items", "item:{name}"], stale=60, stale_if_error=3600)


@app.get("/items/{name}", dependencies=[Depends(of_item)])
async def item(name: str) -> dict[str, object]:
    """An item and its price, which takes a while to find."""
    if name not in prices:
        raise HTTPException(404)
    await asyncio.sleep(0.2)
    return {"name": name, "price": prices[name]}


@app.put("/items/{name}/{price}")
async def change(
    name: str, price: int, cache: Annotated[Cache, Depends(cache_of)]
) -> dict[str, int]:
    """Another price: whatever shows the item is deleted."""
    prices[name] = price
    return {"invalidated": cache.invalidate(f"item:{name}")}


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]) if sys.argv[1:] else 8000)
