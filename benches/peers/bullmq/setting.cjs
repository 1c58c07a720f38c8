'use strict';
// What worker and dispatcher share.

const ioredis = require('ioredis');

const Redis = ioredis.Redis || ioredis.default || ioredis;

exports.connection = { host: '127.0.0.1', port: Number(process.env.BENCH_PORT), maxRetriesPerRequest: null };
exports.connect = () => new Redis(exports.connection);
// Seconds since 1970, finer than a millisecond.
exports.now = () => (performance.timeOrigin + performance.now()) / 1000;
