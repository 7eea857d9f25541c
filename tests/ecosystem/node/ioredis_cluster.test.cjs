// ioredis with a cluster of three nodes; PORT is that of one of them. See test_clients_of_clusters.py.
"use strict";

const assert = require("node:assert/strict");
const { after, test } = require("node:test");
const Redis = require("ioredis");

const cluster = new Redis.Cluster([{ host: "127.0.0.1", port: Number(process.env.PORT) }]);
after(() => cluster.disconnect());

const keys = [...Array(50).keys()].map((number) => `k${number}`);

test("keys of all slots are written and read", async () => {
  await Promise.all(keys.map((key) => cluster.set(key, key.toUpperCase())));
  const values = await Promise.all(keys.map((key) => cluster.get(key)));
  assert.deepEqual(values, keys.map((key) => key.toUpperCase()));
});

test("a pipeline and a transaction are of one slot", async () => {
  const replies = await cluster.pipeline().set("{a}1", "1").get("{a}1").exec();
  assert.deepEqual(replies, [[null, "OK"], [null, "1"]]);
  const done = await cluster.multi().incr("{a}1").get("{a}1").exec();
  assert.deepEqual(done, [[null, 2], [null, "2"]]);
});

test("a tag is of all nodes, whichever is asked", async () => {
  for (const key of keys) await cluster.call("SETTAG", key, "v", "t");
  assert.equal(await cluster.call("TAGCOUNT", "t"), 50);
  for (const node of cluster.nodes("master")) {
    assert.equal((await node.call("TAGKEYS", "t")).length, 50);
  }
  assert.equal(await cluster.call("INVALIDATE", "t"), 50);
  assert.equal(await cluster.exists("k7"), 0);
});

test("messages of a shard arrive", async () => {
  const subscriber = new Redis.Cluster(
    [{ host: "127.0.0.1", port: Number(process.env.PORT) }], { shardedSubscribers: true });
  try {
    const heard = new Promise((resolve) => subscriber.on("smessage", (channel, text) => resolve([channel, text])));
    await subscriber.ssubscribe("news");
    await cluster.spublish("news", "hello");
    assert.deepEqual(await heard, ["news", "hello"]);
  } finally {
    subscriber.disconnect();
  }
});
