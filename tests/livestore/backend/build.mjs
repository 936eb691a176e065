// Bundles worker.ts against each tested version of @livestore/sync-cf into ../dist/<version>/, next to the config that
// workerd embeds it from. `npm run build` in the folder above calls it.
import { copyFileSync, mkdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildSync } from 'esbuild'

const here = dirname(fileURLToPath(import.meta.url))
const versions = { '0.4.0': here, 'dev22': join(here, '../backend-dev22') }

for (const [version, resolveDir] of Object.entries(versions)) {
  const out = join(here, '../dist', version)
  mkdirSync(out, { recursive: true })
  buildSync({
    // The folder in which imports are looked up is what chooses the version.
    stdin: { contents: readFileSync(join(here, 'worker.ts'), 'utf8'), loader: 'ts', resolveDir },
    outfile: join(out, 'worker.js'),
    bundle: true,
    format: 'esm',
    target: 'es2022',
    conditions: ['workerd', 'worker', 'browser', 'import'],
    external: ['cloudflare:*', 'node:*'],
    logLevel: 'error',
  })
  copyFileSync(join(here, 'config.capnp'), join(out, 'config.capnp'))
}
