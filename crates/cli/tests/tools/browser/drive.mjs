// What every scenario shares: a browser that talks to the service under test and to nobody else, and
// that fails when the page does something that it should not.
//
// SCENARIO.mjs MODULES CONFIG : MODULES is the folder that has node_modules, CONFIG is JSON.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { ARGUMENTS } from './arguments.mjs';

const [modules, given] = process.argv.slice(2);
export const config = JSON.parse(given);
const require = createRequire(join(modules, 'node_modules/'));
const { chromium } = require('playwright-core');
const axe = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');

// A state that does not come is a failure after this long, whatever it waits for.
export const WAIT_MS = 60_000;

const browser = await chromium.launch({ executablePath: config.chromium, args: ARGUMENTS });
const wrong = [];

/** A fresh profile of the browser, and a page of it. */
export async function open(options = {}) {
  const page = await profile(options);
  looks.set(page, options);
  return page;
}
const looks = new Map();

async function profile(options) {
  const context = await browser.newContext({
    acceptDownloads: true, locale: 'en-GB', timezoneId: 'Europe/Berlin', viewport: { width: 1280, height: 900 },
    baseURL: config.url, ...options,
  });
  context.setDefaultTimeout(WAIT_MS);
  const allowed = new Set([config.url, ...(config.origins ?? [])].map((url) => new URL(url).origin));
  await context.route('**/*', (route) => {
    const { origin } = new URL(route.request().url());
    if (allowed.has(origin) || origin === 'null') return route.continue();
    wrong.push(`a request to another host: ${origin}`);
    return route.abort();
  });
  const page = await context.newPage();
  // Also what the content security policy stops is told here.
  page.on('console', (message) => {
    if (message.type() === 'error' && !/Failed to load resource/.test(message.text())) wrong.push(`console: ${message.text()}`);
  });
  page.on('pageerror', (error) => wrong.push(`script: ${error.message}`));
  return page;
}

/** Every rule of WCAG 2.2 A and AA, and the tool's best practices; the first violations are the error. */
export async function accessible(page, state) {
  const options = looks.get(page);
  if (options.javaScriptEnabled === false) return accessibleWithoutScript(page, state, options);
  const problems = await page.evaluate(`(async () => {
    ${axe};
    const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
    const { violations } = await axe.run(document, { runOnly: { type: 'tag', values: tags }, resultTypes: ['violations'] });
    return violations.map((v) => v.id + ': ' + v.help + '\\n    ' + v.nodes.slice(0, 3).map((n) => n.html.slice(0, 200) + '\\n    ' + (n.any[0]?.message ?? n.all[0]?.message ?? n.none[0]?.message ?? '')).join('\\n    '));
  })()`);
  checked.push(state);
  if (problems.length > 0) wrong.push(`${state}: ${problems.length} kinds of violations\n  ${problems.join('\n  ')}`);
}
export const checked = [];

/** The tool is a script itself: it gets the page as it stands, without the page's own scripts. */
async function accessibleWithoutScript(page, state, options) {
  const html = (await page.content()).replace(/<script\b[^>]*>\s*<\/script>/g, '');
  const copy = await open({ ...options, javaScriptEnabled: true });
  await copy.route(page.url(), (route) => route.fulfill({ contentType: 'text/html; charset=utf-8', body: html }));
  await copy.goto(page.url());
  await accessible(copy, state);
  await copy.context().close();
}

/** Nothing is wider than the window. */
export async function fits(page, state) {
  const [content, window] = await page.evaluate('[document.documentElement.scrollWidth, document.documentElement.clientWidth]');
  if (content > window) wrong.push(`${state}: the page is ${content} pixels wide in a window of ${window}`);
}

/** Keeps a picture, if a folder for pictures is given. */
export async function shot(page, name, options = {}) {
  if (!config.pictures) return;
  mkdirSync(config.pictures, { recursive: true });
  await page.screenshot({ path: join(config.pictures, `${name}.png`), animations: 'disabled', caret: 'hide', ...options });
}

/** Signs in as one of the granted users of a development service. */
export async function signIn(page, user) {
  await page.goto('/');
  await page.waitForURL(/sign-in/);
  await page.getByRole('button', { name: user }).click();
  await page.getByRole('heading', { name: 'New export' }).waitFor();
}

/** The rows of the list. */
export const rows = (page) => page.locator('#rows > li');

/** The API, as ann's programs use it. */
export async function api(method, path, headers = {}) {
  const answer = await fetch(`${config.url}/v1.0/payouts${path}`, {
    method, headers: { authorization: `Bearer ${config.tokens.ann}`, ...headers },
  });
  assert.ok(answer.ok, `${method} ${path}: ${answer.status} ${await answer.clone().text()}`);
  return answer;
}

/** Asks over the API; answers the id. */
export async function ask(filter, format) {
  const query = new URLSearchParams({ $filter: filter, fileFormat: format });
  return (await (await api('POST', `/payments?${query}`)).json()).requestId;
}

/** Until a request is in this state. */
export async function until(id, status) {
  const deadline = Date.now() + WAIT_MS;
  for (;;) {
    const export_ = await (await api('GET', `/payments/${id}`, { prefer: 'wait=5' })).json();
    if (export_.status === status) return;
    assert.ok(Date.now() < deadline, `${id} is ${export_.status}, not ${status}`);
  }
}

/** Runs the binary under test; answers what it said. */
export function payouts(...args) {
  return execFileSync(config.payouts, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

/** A line for a shell, with the caller's token in its environment as the page says. */
export function shell(line, token) {
  return execFileSync('sh', ['-c', line], { encoding: 'utf8', env: { ...process.env, PAYOUTS_TOKEN: token }, cwd: config.folder });
}

/** Saves what a click downloads. */
export async function saved(page, click, as) {
  const [download] = await Promise.all([page.waitForEvent('download'), click()]);
  const path = join(config.folder, as ?? download.suggestedFilename());
  await download.saveAs(path);
  return { path, name: download.suggestedFilename() };
}

export function keep(name, text) {
  const path = join(config.folder, name);
  writeFileSync(path, text);
  return path;
}

/** Runs the scenario; whatever went wrong on the way is its failure. */
export async function scenario(run) {
  try {
    await run();
    assert.deepEqual(wrong, [], wrong.join('\n'));
    console.log(`passed${checked.length > 0 ? `; no violation in ${checked.length} states` : ''}`);
  } catch (error) {
    console.error(error.stack ?? String(error));
    if (wrong.length > 0) console.error(wrong.join('\n'));
    process.exitCode = 1;
  } finally {
    await browser.close();
  }
}
