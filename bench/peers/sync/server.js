// A CouchDB-like server over LevelDB, on a free port of the loopback address.
// Arguments: the directory of its databases.
const PouchDB = require('pouchdb').defaults({ prefix: process.argv[2] + '/' });
const app = require('express')();
app.use('/', require('express-pouchdb')(PouchDB, {
  mode: 'minimumForPouchDB',
  overrideMode: { include: [] },
  logPath: process.argv[2] + '/log.txt',
  configPath: process.argv[2] + '/config.json',
}));
const server = app.listen(0, '127.0.0.1', () => console.log(server.address().port));
