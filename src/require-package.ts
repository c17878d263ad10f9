import { createRequire } from "node:module";

/**
 * Loads CommonJS packages. `import` would first read each of their files for the names that it exports,
 * which took a run that loads pino and kafkajs a tenth of its time to start.
 */
export const requirePackage = createRequire(import.meta.url);
