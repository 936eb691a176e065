// Bundles the chat page into ../dist/page/, which `quartermaster serve --demo --demo-page` serves as it is.
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildSync } from 'esbuild'

const here = dirname(fileURLToPath(import.meta.url))
const out = join(here, '../dist/page')
mkdirSync(out, { recursive: true })

buildSync({
  entryPoints: {
    page: join(here, 'page.mjs'),
    worker: join(here, 'worker.mjs'),
    'shared-worker': '@livestore/adapter-web/shared-worker',
  },
  absWorkingDir: join(here, '..'),
  outdir: out,
  bundle: true,
  minify: true,
  format: 'esm',
  target: 'es2022',
  conditions: ['browser', 'worker', 'import'],
  logLevel: 'error',
})

// SQLite's module looks for its binary beside the bundle that it is part of.
const sqlite = createRequire(import.meta.resolve('@livestore/sqlite-wasm')).resolve('@livestore/wa-sqlite/dist/wa-sqlite.wasm')
copyFileSync(sqlite, join(out, 'wa-sqlite.wasm'))

// The face is that of the hand-sized page; only what keeps the messages is another. Written last.
const face = readFileSync(join(here, '../../../host/src/http/demo/index.html'), 'utf8')
const keeper = /<script id="keeper">.*<\/script>/s
if (!keeper.test(face)) throw new Error('index.html has no script with the id "keeper"')
writeFileSync(join(out, 'index.html'), face.replace(keeper, '<script type="module" src="page.js"></script>'))
