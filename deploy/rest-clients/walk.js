// kafka-connect-client (npm) walks a connector from its creation to its end: walk.js PORT NAME CONFIG
//
// Its calls without a body (pause, resume, stop, restart of a task, reset of topics) say that the body that they do not have is a form, as axios
// does; Kafka Connect 4.3.1 answers these with 415, and so does Dray (rest-diff asks both). So these are made without it.
"use strict";
const assert = require("node:assert");
const path = require("node:path");
const { KafkaConnectClient } = require(path.join(process.env.DRAY_REST_CLIENTS, "node_modules/kafka-connect-client"));

const [port, name, config] = [Number(process.argv[2]), process.argv[3], JSON.parse(process.argv[4])];
const client = new KafkaConnectClient({ protocol: "http", host: "127.0.0.1", port });
const connector = client.connector(name);

async function until(state) {
  const end = Date.now() + 60_000;
  for (;;) {
    const { data } = await connector.getStatus();
    if (data.connector.state === state && data.tasks.every(task => task.state === state) && data.tasks.length === 1) return;
    assert(Date.now() < end, `not ${state} in time: ${JSON.stringify(data)}`);
    await new Promise(done => setTimeout(done, 50));
  }
}

async function put(call, verb) {
  await assert.rejects(call, error => error.response.status === 415);
  return fetch(`http://127.0.0.1:${port}/connectors/${name}/${verb}`, { method: verb.endsWith("restart") ? "POST" : "PUT" });
}

(async () => {
  assert((await client.getCluster()).data.version.startsWith("4."));
  assert.strictEqual((await client.createConnector(name, config)).status, 201);
  assert((await client.getConnectors()).data.includes(name));
  assert.strictEqual((await client.getConnectors({ expand: "status" })).data[name].status.name, name);
  await until("RUNNING");
  assert.strictEqual((await connector.get()).data.config.topic, config.topic);
  assert.strictEqual((await connector.getTasks()).data.length, 1);
  assert.strictEqual((await put(connector.pause(), "pause")).status, 202);
  await until("PAUSED");
  assert.strictEqual((await put(connector.resume(), "resume")).status, 202);
  await until("RUNNING");
  assert.strictEqual((await connector.restart()).status, 204);
  await until("RUNNING");
  assert.strictEqual((await put(connector.restartTask(0), "tasks/0/restart")).status, 204);
  await until("RUNNING");
  assert.strictEqual((await connector.updateConfig({ ...config, "batch.size": "10" })).status, 200);
  assert.strictEqual((await connector.getConfig()).data["batch.size"], "10");
  assert.strictEqual((await client.validateConnectorConfig("FileStreamSource", { ...config, name })).data.error_count, 0);
  assert((await client.getConnectorPlugins()).data.length > 1);
  assert.strictEqual((await put(connector.resetTopics(), "topics/reset")).status, 202);
  assert.strictEqual((await put(connector.stop(), "stop")).status, 204);
  assert.strictEqual((await connector.resetOffsets()).status, 200);
  assert.deepStrictEqual((await connector.getOffsets()).data, { offsets: [] });
  assert.strictEqual((await connector.delete()).status, 204);
  await assert.rejects(connector.get(), error => error.response.status === 404);
})().catch(error => {
  console.error(error);
  process.exit(1);
});
