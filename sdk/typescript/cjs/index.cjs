// Node 20.19 and later load ES modules by require().
module.exports = require('../dist/index.js')
