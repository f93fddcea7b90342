// Everything that must work without JavaScript: sign in, choose, preview, ask, look again, download,
// check, delete, sign out.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { open, payouts, rows, saved, scenario, signIn, WAIT_MS } from './drive.mjs';

await scenario(async () => {
  const page = await open({ javaScriptEnabled: false });
  await signIn(page, 'ann');
  const deadline = Date.now() + WAIT_MS;
  // A page does not wait until it is known what there is to choose from.
  while (await page.locator('[data-looking]').count() > 0) {
    assert.ok(Date.now() < deadline, 'it is never known what there is to choose from');
    await page.getByRole('link', { name: 'load the form again' }).click();
  }
  await page.locator('#period').selectOption('36-months');
  await page.locator('.pick-name', { hasText: /^Payment status$/ }).click();
  await page.locator('input[name="value.paymentStatus"][value="SENT"]').check();
  await page.locator('#format').selectOption('csv');

  await page.getByRole('button', { name: 'Show preview' }).click();
  const preview = page.getByRole('region', { name: 'Preview' });
  await preview.getByRole('table').first().waitFor();
  const previewed = await preview.locator('.figures data').first().getAttribute('value');
  // What was chosen is still chosen.
  assert.equal(await page.locator('#period').inputValue(), '36-months');
  assert.equal(await page.locator('#format').inputValue(), 'csv');

  await page.getByRole('button', { name: 'Ask for the file' }).click();
  // Looking again is what a person does here: until it has ended, and not for ever.
  while (await rows(page).first().getByText('Completed', { exact: true }).count() === 0) {
    assert.ok(Date.now() < deadline, 'the request does not end');
    await page.goto('/');
  }
  const row = rows(page).first();
  const id = await row.getAttribute('data-id');
  const file = await saved(page, () => row.getByRole('link', { name: 'Download' }).click());
  await row.getByRole('link', { name: 'Payments' }).first().click();
  const manifest = await saved(page, () => page.getByRole('link', { name: 'Save the manifest' }).click(), 'manifest.json');
  assert.equal(String(JSON.parse(readFileSync(manifest.path, 'utf8')).rowCount), previewed);
  payouts('verify', file.path, '--manifest', manifest.path);

  await page.goto('/');
  await row.getByText('More').click();
  await row.getByRole('link', { name: 'Delete' }).click();
  await page.getByRole('heading', { name: 'Delete this request?' }).waitFor();
  await page.getByRole('button', { name: 'Delete' }).click();
  await page.getByRole('heading', { name: 'New export' }).waitFor();
  assert.equal(await page.locator(`#rows > li[data-id="${id}"]`).count(), 0);
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByRole('heading', { name: 'Sign in' }).waitFor();
});
