// The browser's part of page_list.py: MODULES CONFIG.
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { ARGUMENTS } from '../crates/cli/tests/tools/browser/arguments.mjs';

const [modules, given] = process.argv.slice(2);
const config = JSON.parse(given);
const { chromium } = createRequire(join(modules, 'node_modules/'))('playwright-core');
const browser = await chromium.launch({ executablePath: config.chromium, args: ARGUMENTS });
const page = await (await browser.newContext({ viewport: { width: 1280, height: 900 }, baseURL: config.url })).newPage();
await page.addInitScript(() => {
  window.tasks = [];
  new PerformanceObserver((list) => window.tasks.push(...list.getEntries().map((e) => e.duration))).observe({ type: 'longtask', buffered: true });
});
const round = (n) => Math.round(n * 10) / 10;
const tasks = async () => page.evaluate(() => ({ long: window.tasks.length, longest: Math.round(Math.max(0, ...window.tasks)) }));
const timed = async (act) => { const began = performance.now(); await act(); return round(performance.now() - began); };
const found = {};
try {
  await page.goto('/');
  await page.getByRole('button', { name: 'ann' }).click();
  await page.locator('#rows > li').first().waitFor();
  // All have ended, so that what is measured stands still.
  await page.waitForFunction(() => !document.querySelector('#rows > li:not([data-status="Completed"])'), null, { timeout: 600_000 });
  await page.goto('/');
  found.requests = await page.locator('#count').innerText();
  found.load_ms = round(await page.evaluate(() => performance.getEntriesByType('navigation')[0].loadEventEnd));
  found.answer_ms = round(await page.evaluate(() => { const n = performance.getEntriesByType('navigation')[0]; return n.responseEnd - n.requestStart; }));
  found.rows_in_the_page = await page.locator('#rows > li').count();
  await page.getByRole('region', { name: 'Preview' }).getByRole('table').first().waitFor();
  found.tasks_of_the_load = await tasks();
  found.scrolling = await page.evaluate(async () => {
    window.tasks = [];
    const frames = [];
    let last = performance.now();
    while (window.scrollY + window.innerHeight < document.documentElement.scrollHeight - 1) {
      window.scrollBy(0, 120);
      await new Promise(requestAnimationFrame);
      frames.push(performance.now() - last);
      last = performance.now();
    }
    frames.sort((a, b) => a - b);
    return { frames: frames.length, median_ms: Math.round(frames[frames.length >> 1] * 10) / 10, longest_ms: Math.round(frames.at(-1)), long_tasks: window.tasks.length };
  });
  found.older_page_ms = await timed(async () => {
    await page.getByRole('link', { name: 'Older requests' }).click();
    await page.getByRole('link', { name: 'To the newest' }).waitFor();
  });
  await page.getByRole('link', { name: 'To the newest' }).click();
  await page.getByRole('link', { name: 'To the newest' }).waitFor({ state: 'detached' });
  found.narrowing_ms = await timed(async () => {
    await page.locator('input[name="list.text"]').fill(`paymentAmount ge ${config.requests - 1}`);
    await page.waitForFunction(() => document.querySelectorAll('#rows > li').length === 1);
  });
  await page.locator('#show-all').click();
  await page.waitForFunction(() => document.querySelectorAll('#rows > li').length === 50);
  await page.evaluate(() => { window.tasks = []; });
  found.change_ms = await timed(async () => {
    const query = new URLSearchParams({ $filter: 'paymentAmount ge 7', fileFormat: 'csv' });
    const answer = await fetch(`${config.url}/v1.0/payouts/payments?${query}`, { method: 'POST', headers: { authorization: `Bearer ${config.token}` } });
    const { requestId } = await answer.json();
    await page.locator(`#rows > li[data-id="${requestId}"][data-status="Completed"]`).waitFor();
  });
  found.tasks_of_the_change = await tasks();
  console.log(JSON.stringify(found, null, 2));
} finally {
  await browser.close();
}
