#!/usr/bin/env bash
# Regenerates what the controller's sources generate: docs/policy.schema.json.
set -euo pipefail
cd "$(dirname "$0")/.."
npx --no-install tsc -b controller
node --input-type=module -e "
import { writeFileSync } from 'node:fs';
import { policyJsonSchema } from './controller/dist/policy/json-schema.js';
writeFileSync('docs/policy.schema.json', JSON.stringify(policyJsonSchema(), null, 2) + '\n');
"
