// The first preview never ends. It is given up when the choice changes, and the place that it had is free.
// What there is to choose from cannot be found out: the form says so, and takes what is written.
import assert from 'node:assert/strict';
import { accessible, open, scenario, signIn } from './drive.mjs';

await scenario(async () => {
  const page = await open();
  const first = page.waitForRequest((request) => request.url().endsWith('/preview/panel'));
  await signIn(page, 'ann');
  const given = page.waitForEvent('requestfailed', (request) => request.url().endsWith('/preview/panel'));
  await first;
  await page.locator('#preview[aria-busy="true"]').waitFor();
  await page.locator('#period').selectOption('36-months');
  assert.equal(await given, await first, 'another request than the first was given up');
  const preview = page.getByRole('region', { name: 'Preview' });
  await preview.getByRole('table').first().waitFor();
  await page.locator('#offered-notice.warn').waitFor();
  await page.locator('.pick-name', { hasText: /^Payment status$/ }).click();
  await page.locator('textarea[name="lines.paymentStatus"]').fill('SENT');
  await page.waitForFunction(() => document.querySelector('#filter').value.includes("'SENT'"));
  await page.locator('textarea[name="lines.paymentStatus"]').fill('');
  await accessible(page, 'nothing offered');
  // The first choice is looked at anew: what was given up left nothing that waits for it.
  const again = page.waitForResponse((answer) => answer.url().endsWith('/preview/panel') && answer.request().postData().includes('period=12-months'));
  await page.locator('#period').selectOption('12-months');
  assert.ok((await (await again).json()).html, 'the first choice has no preview any more');
});
