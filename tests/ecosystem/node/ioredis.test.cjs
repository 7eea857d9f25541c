// ioredis, as its README shows it. Run by node's test runner; see test_node_clients.py.
"use strict";

const assert = require("node:assert/strict");
const { once } = require("node:events");
const { test, beforeEach, afterEach } = require("node:test");
const Redis = require("ioredis");

let redis;
let open;

function connect(options) {
  const client = new Redis(Number(process.env.PORT), options);
  open.push(client);
  return client;
}

async function untilBlocked(count) {
  while (!(await redis.info("clients")).includes(`blocked_clients:${count}`));
}

beforeEach(async () => {
  open = [];
  redis = connect();
  await redis.flushall();
});

afterEach(() => open.forEach((client) => client.disconnect()));

test("a pipeline returns its results in order, errors among them", async () => {
  const results = await redis.pipeline().set("a", 1).incr("a").lpush("a", 1).get("a").exec();
  assert.deepEqual([results[0], results[1], results[3]], [[null, "OK"], [null, 2], [null, "2"]]);
  assert.match(results[2][0].message, /^WRONGTYPE/);
});

test("multi is one step", async () => {
  const results = await redis.multi().set("a", 1).hset("h", "f", "v").hgetall("h").exec();
  assert.deepEqual(results, [[null, "OK"], [null, 1], [null, { f: "v" }]]);
});

test("multi without a pipeline queues one at a time", async () => {
  await redis.multi({ pipeline: false });
  assert.equal(await redis.set("a", 1), "QUEUED");
  assert.deepEqual(await redis.exec(), [[null, "OK"]]);
});

test("a command that cannot be queued discards the transaction", async () => {
  await assert.rejects(redis.multi().set("a").set("b", 2).exec(), /EXECABORT/);
  assert.equal(await redis.exists("b"), 0);
});

test("a watched key that was written makes exec return null", async () => {
  await redis.watch("a");
  assert.equal(await connect().set("a", 5), "OK");
  assert.equal(await redis.multi().set("a", 2).exec(), null);
});

test("a duplicate connection subscribes and is told of channels and patterns", async () => {
  const subscriber = redis.duplicate();
  open.push(subscriber);
  assert.equal(await subscriber.subscribe("news", "sport"), 2);
  assert.equal(await subscriber.psubscribe("n*"), 3);
  const heard = once(subscriber, "message");
  const matched = once(subscriber, "pmessage");
  assert.equal(await redis.publish("news", "hello"), 2);
  assert.deepEqual(await heard, ["news", "hello"]);
  assert.deepEqual(await matched, ["n*", "news", "hello"]);
  assert.equal(await subscriber.unsubscribe("news", "sport"), 1);
  assert.equal(await subscriber.punsubscribe("n*"), 0);
  assert.equal(await subscriber.set("again", "usable"), "OK");
});

test("messages as buffers hold any byte", async () => {
  const subscriber = connect();
  await subscriber.subscribe("news");
  const heard = once(subscriber, "messageBuffer");
  const bytes = Buffer.from([0, 255, 13, 10]);
  await redis.publish("news", bytes);
  assert.deepEqual((await heard)[1], bytes);
});

test("a subscriber that was disconnected subscribes again", async () => {
  const subscriber = connect({ retryStrategy: () => 10 });
  await subscriber.subscribe("news");
  await redis.client("KILL", "TYPE", "pubsub");
  const heard = once(subscriber, "message");
  while ((await redis.publish("news", "again")) === 0);
  assert.deepEqual(await heard, ["news", "again"]);
});

test("a client that waits is given what comes, and others are not held up", async () => {
  const waiting = connect();
  const result = waiting.blpop("l", "k", 20);
  await untilBlocked(1);
  await redis.rpush("k", "x");
  assert.deepEqual(await result, ["k", "x"]);
  assert.equal(await waiting.blpop("none", 0.01), null);
  assert.equal(await waiting.blmove("none", "d", "LEFT", "RIGHT", 0.01), null);
});

test("automatic pipelining answers every call", async () => {
  const automatic = connect({ enableAutoPipelining: true });
  const numbers = [...Array(500).keys()];
  await Promise.all(numbers.map((n) => automatic.set(`k${n}`, n)));
  const found = await Promise.all(numbers.map((n) => automatic.get(`k${n}`)));
  assert.deepEqual(found, numbers.map(String));
});

test("a monitor is shown commands", async () => {
  const monitor = await connect().monitor();
  open.push(monitor);
  const shown = once(monitor, "monitor");
  await redis.set("a", "x");
  assert.deepEqual((await shown)[1], ["set", "a", "x"]);
});

test("a stream of keys visits every one", async () => {
  await redis.mset(Object.fromEntries([...Array(300).keys()].map((n) => [`k${n}`, n])));
  const seen = new Set();
  for await (const keys of redis.scanStream({ match: "k*" })) keys.forEach((k) => seen.add(k));
  assert.equal(seen.size, 300);
});
