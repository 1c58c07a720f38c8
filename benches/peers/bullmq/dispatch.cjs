'use strict';
// dispatch.cjs WORKLOAD N HOW

const { FlowProducer, Queue } = require('bullmq');
const { connection, connect, now } = require('./setting.cjs');

const SLICE = 1000;
const [workload, count, how] = process.argv.slice(2);
const n = Number(count);
const name = workload === 'W3' ? 'io' : 'noop';
const queueName = 'jobs';

// Each parent waits for its only child; the innermost one runs first.
function chain() {
  let job = { name, queueName, data: { i: 0 } };
  for (let i = 1; i < n; i++) job = { name, queueName, data: { i }, children: [job] };
  return { name: 'end', queueName: 'collect', data: {}, children: [job] };
}

function fan() {
  const children = Array.from({ length: n }, (_, i) => ({ name, queueName, data: { i } }));
  return { name: 'collect', queueName: 'collect', data: {}, children };
}

async function bulk(jobs, redis) {
  await redis.set('bench:count', n);
  for (let from = 0; from < n; from += SLICE) {
    const length = Math.min(SLICE, n - from);
    await jobs.addBulk(Array.from({ length }, (_, j) => ({ name, data: { i: from + j, counted: true } })));
  }
}

async function main() {
  const flow = new FlowProducer({ connection });
  const jobs = new Queue('jobs', { connection });
  const redis = connect();
  await flow.waitUntilReady();
  await jobs.waitUntilReady();
  await redis.ping();

  const t0 = now();
  if (how === 'hop') await jobs.add('hop', { i: 0, n });
  else if (how === 'bulk') await bulk(jobs, redis);
  else await flow.add(workload === 'W2' ? chain() : fan());
  console.log(JSON.stringify({ t0, t1: now() }));
  process.exit(0);
}

main().catch((error) => {
  console.error('dispatch:', error);
  process.exit(1);
});
