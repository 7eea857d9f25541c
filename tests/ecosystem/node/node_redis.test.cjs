// node-redis, as its README shows it, in both versions of RESP. Run by node's test runner;
// see test_node_clients.py.
"use strict";

const assert = require("node:assert/strict");
const { describe, test, beforeEach, afterEach } = require("node:test");
const { createClient, createClientPool, WatchError } = require("redis");

for (const RESP of [2, 3]) {
  describe(`RESP${RESP}`, { timeout: 60_000 }, () => {
    let client;
    let open;
    const options = {
      RESP,
      url: `redis://127.0.0.1:${process.env.PORT}`,
      socket: { reconnectStrategy: 10 },
    };

    async function connect(made = createClient(options)) {
      made.on("error", () => {});
      open.push(made);
      return made.connect();
    }

    async function untilBlocked(count) {
      while (!(await client.info("clients")).includes(`blocked_clients:${count}`));
    }

    // a promise, and what fulfils it
    function later() {
      let resolve;
      const promise = new Promise((done) => (resolve = done));
      return [promise, resolve];
    }

    beforeEach(async () => {
      open = [];
      client = await connect();
      await client.flushAll();
    });

    afterEach(() => open.forEach((each) => each.destroy()));

    test("calls of one turn are pipelined and answered in order", async () => {
      const found = await Promise.all([
        client.set("a", "1"), client.incr("a"), client.hSet("h", { f: "v" }),
        client.hGetAll("h"), client.get("none"),
      ]);
      assert.deepEqual(JSON.parse(JSON.stringify(found)), ["OK", 2, 1, { f: "v" }, null]);
    });

    test("multi is one step, and so many commands are", async () => {
      const multi = client.multi().zAdd("z", { score: 1.5, value: "m" });
      const found = await multi.zRangeWithScores("z", 0, -1).exec();
      assert.deepEqual(found, [1, [{ value: "m", score: 1.5 }]]);
      const many = client.multi();
      for (let n = 0; n < 1000; n++) many.rPush("l", `${n}`);
      assert.equal((await many.exec()).at(-1), 1000);
    });

    test("execAsPipeline answers without a transaction", async () => {
      assert.deepEqual(await client.multi().set("a", "1").get("a").execAsPipeline(), ["OK", "1"]);
    });

    test("an error within multi rejects it, and the other commands are run", async () => {
      const multi = client.multi().set("a", "1").lPush("a", "1").set("b", "2");
      await assert.rejects(multi.exec(), (error) => error.errorIndexes[0] === 1);
      assert.equal(await client.get("b"), "2");
    });

    test("a watched key that was written rejects multi", async () => {
      const other = await connect(client.duplicate());
      await client.watch("a");
      await other.set("a", "5");
      await assert.rejects(client.multi().set("a", "2").exec(), WatchError);
      assert.equal(await client.get("a"), "5");
    });

    test("a duplicate connection is told of channels, patterns and shard channels", async () => {
      const subscriber = await connect(client.duplicate());
      const [heard, hear] = later();
      const [matched, match] = later();
      const [sharded, shard] = later();
      await subscriber.subscribe("news", (text, channel) => hear([channel, text]));
      await subscriber.pSubscribe("n*", (text, channel) => match([channel, text]));
      await subscriber.sSubscribe("news", (text, channel) => shard([channel, text]));
      assert.equal(await client.publish("news", "hello"), 2);
      assert.equal(await client.sPublish("news", "to the shard"), 1);
      assert.deepEqual(await heard, ["news", "hello"]);
      assert.deepEqual(await matched, ["news", "hello"]);
      assert.deepEqual(await sharded, ["news", "to the shard"]);
      // by name: node-redis 5 waits for a count of 0 where no name is given, from any server
      await subscriber.unsubscribe("news");
      await subscriber.pUnsubscribe("n*");
      await subscriber.sUnsubscribe("news");
      assert.equal(await client.publish("news", "nobody"), 0);
      assert.equal(String(await subscriber.ping()), "PONG");
    });

    test("a subscriber that pings gets an answer", async () => {
      const subscriber = await connect(client.duplicate());
      await subscriber.subscribe("news", () => {});
      await subscriber.ping();
    });

    test("a subscriber that was disconnected subscribes again", async () => {
      const subscriber = await connect(client.duplicate());
      const [heard, hear] = later();
      await subscriber.subscribe("news", hear);
      await client.sendCommand(["CLIENT", "KILL", "TYPE", "pubsub"]);
      while ((await client.publish("news", "again")) === 0);
      assert.equal(await heard, "again");
    });

    test("a client that waits is given what comes", async () => {
      const waiting = await connect(client.duplicate());
      const result = waiting.blPop(["l", "k"], 20);
      await untilBlocked(1);
      await client.rPush("k", "x");
      assert.deepEqual({ ...(await result) }, { key: "k", element: "x" });
      assert.equal(await waiting.blPop("none", 0.01), null);
      assert.equal(await waiting.bzPopMin("none", 0.01), null);
      const popped = waiting.bzPopMin("z", 20);
      await untilBlocked(1);
      await client.zAdd("z", { score: 2, value: "m" });
      assert.deepEqual({ ...(await popped) }, { key: "z", value: "m", score: 2 });
    });

    test("a pool hands out connections of its own", async () => {
      const pool = createClientPool(options, { minimum: 2 });
      await connect(pool);
      const found = await Promise.all([...Array(50).keys()].map(() => pool.incr("n")));
      assert.equal(Math.max(...found), 50);
    });

    test("an iterator visits every key", async () => {
      await client.mSet([...Array(300).keys()].map((n) => [`k${n}`, `${n}`]));
      const seen = new Set();
      for await (const keys of client.scanIterator()) [].concat(keys).forEach((k) => seen.add(k));
      assert.equal(seen.size, 300);
    });
  });
}
