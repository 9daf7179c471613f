// Writes documents into a LevelDB of its own, one after the other, and replicates them.
// Arguments: the directory, the URL of the database, how many, and the text of each.
const PouchDB = require('pouchdb');
const [directory, url, count, text] = process.argv.slice(2);

async function main() {
  const local = new PouchDB(directory + '/local');
  await local.info();
  const cpu = process.cpuUsage();
  const start = process.hrtime.bigint();
  const latencies = [];
  for (let number = 0; number < Number(count); number++) {
    const before = process.hrtime.bigint();
    await local.put({ _id: `memo-${number}`, page: number, content: text });
    latencies.push(Number((process.hrtime.bigint() - before) / 1000n));
  }
  const written = process.hrtime.bigint();
  const result = await local.replicate.to(url);
  const end = process.hrtime.bigint();
  if (result.docs_written !== Number(count)) throw new Error(JSON.stringify(result));
  const { user, system } = process.cpuUsage(cpu);
  const us = (from, to) => Number((to - from) / 1000n);
  console.log(JSON.stringify({
    local_us: us(start, written), sync_us: us(written, end), cpu_us: user + system, latencies,
  }));
}

main().then(() => process.exit(0), (error) => { console.error(error); process.exit(1); });
