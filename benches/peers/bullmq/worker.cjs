'use strict';
// One worker process: jobs of the queue `jobs`, collect jobs of the queue `collect`.

const http = require('http');
const { Worker, Queue } = require('bullmq');
const { connection, connect, now } = require('./setting.cjs');

const concurrency = Number(process.env.BENCH_CONCURRENCY);
const redis = connect();
const jobs = new Queue('jobs', { connection });
const collect = new Queue('collect', { connection });
const agent = new http.Agent({ keepAlive: true, maxSockets: concurrency });
const target = { host: '127.0.0.1', port: Number(process.env.BENCH_MOCK_PORT), path: '/v1/chat', method: 'POST', agent };

const result = (i) => ({ id: i, passed: true, cost: 0.0125, tokens: 1234, text: 'x'.repeat(130) });

function post(i) {
  const body = JSON.stringify({ i });
  const headers = { 'content-type': 'application/json', 'content-length': body.length };
  return new Promise((resolve, reject) => {
    const request = http.request({ ...target, headers }, (response) => {
      response.on('data', () => {});
      response.on('end', resolve);
      response.on('error', reject);
    });
    request.on('error', reject);
    request.end(body);
  });
}

async function run(job) {
  const { i, n, counted } = job.data;
  if (job.name === 'hop') {
    if (i + 1 < n) await jobs.add('hop', { i: i + 1, n });
    else await collect.add('end', {});
    return result(i);
  }
  if (job.name === 'io') await post(i);
  const value = result(i);
  if (counted) {
    // Result and countdown in one MULTI.
    const replies = await redis.multi().rpush('bench:results', JSON.stringify(value)).decr('bench:count').exec();
    if (replies[1][1] === 0) await collect.add('counted', {});
  }
  return value;
}

async function seen(job) {
  if (job.name === 'collect') return Object.keys(await job.getChildrenValues()).length;
  if (job.name === 'counted') return (await redis.lrange('bench:results', 0, -1)).map((text) => JSON.parse(text)).length;
  return 1; // the end of a chain
}

const worker = new Worker('jobs', run, { connection, concurrency });
const collector = new Worker(
  'collect',
  async (job) => {
    const count = await seen(job);
    await redis.rpush('bench:fired', `${now()}:${count}`);
  },
  { connection },
);
worker.on('error', (error) => console.error('worker:', error.message));
worker.on('failed', (job, error) => console.error('failed:', job?.id, error.message));
collector.on('error', (error) => console.error('collector:', error.message));
collector.on('failed', (job, error) => console.error('collection failed:', error.message));
Promise.all([worker.waitUntilReady(), collector.waitUntilReady()]).then(() => redis.rpush('bench:ready', 1));
