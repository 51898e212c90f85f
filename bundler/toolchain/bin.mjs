#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors
//
// The `fairlead` command.

import { register } from 'tsx/esm/api';

register();
await import('../cli.ts');
