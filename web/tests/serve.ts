// A controller with a made-up fleet, to look at the page by hand: `node web/dist/tests/tests/serve.js [workloads] [records]`. Prints a link;
// Ctrl-C ends it, and nothing stays.
import { RunningController } from './controller.js';
import { makeFleet } from './fleet.js';

const [size = 50, connections = 4000] = process.argv.slice(2).map(Number);
const controller = await RunningController.start();
const fleet = await makeFleet(controller, { size, connections });
process.stdout.write(`${fleet.members.length} workloads, ${fleet.records} records\n${await controller.link()}\n`);
process.once('SIGINT', () => {
  fleet.close();
  void controller.stop().then(() => process.exit(0));
});
