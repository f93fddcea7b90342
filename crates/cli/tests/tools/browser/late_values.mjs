// The page is there before it is known what there is to choose from: one writes, and what is chosen
// meanwhile stays when the lists come. Without JavaScript one loads it again.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { accessible, config, fits, open, scenario, signIn } from './drive.mjs';

const pick = (page, name) => page.locator('details.pick', { has: page.locator('.pick-name', { hasText: new RegExp(`^${name}$`) }) });

await scenario(async () => {
  const page = await open();
  const narrow = await open({ viewport: { width: 360, height: 780 }, colorScheme: 'dark' });
  const plain = await open({ javaScriptEnabled: false });
  const bob = await open();
  for (const [each, user] of [[page, 'ann'], [narrow, 'ann'], [plain, 'ann'], [bob, 'bob']]) {
    await signIn(each, user);
    await each.locator('#controls[data-looking]').waitFor();
    await each.getByText('are being looked up').waitFor();
  }
  await accessible(narrow, 'nothing known to choose from');
  await fits(narrow, 'nothing known to choose from');
  await accessible(plain, 'nothing known to choose from, without JavaScript');
  // The preview does not wait for it.
  const preview = page.getByRole('region', { name: 'Preview' });
  await preview.getByRole('table').first().waitFor();

  // Chosen meanwhile: a period, a currency, a status; a program is being written.
  await page.locator('#period').selectOption('36-months');
  await page.locator('#currency').fill('EUR');
  await pick(page, 'Payment status').locator('summary').click();
  await pick(page, 'Payment status').locator('textarea').fill('SENT\nFAILED');
  await pick(page, 'Program').locator('summary').click();
  const written = pick(page, 'Program').locator('textarea');
  await written.pressSequentially('Azure Mark');
  await page.waitForFunction(() => document.querySelector('#filter').value.includes("'FAILED'"));
  assert.equal(await page.locator('#controls[data-looking]').count(), 1);

  writeFileSync(config.known, '');
  const status = pick(page, 'Payment status').locator('input[name="value.paymentStatus"]');
  await status.first().waitFor();
  assert.deepEqual(await checked(status), ['FAILED', 'SENT'], 'what was written is ticked');
  assert.ok(await status.count() > 2 && await status.first().isVisible(), 'what was open stays open, and offers more');
  assert.equal(await page.locator('select#currency').inputValue(), 'EUR');
  assert.equal(await page.locator('#period').inputValue(), '36-months');
  // What is being written is not taken away.
  assert.ok(await written.evaluate((box) => box === document.activeElement));
  await written.pressSequentially('etplace');
  await page.keyboard.press('Tab');
  const programs = pick(page, 'Program').locator('input[name="value.programName"]');
  await programs.first().waitFor();
  assert.deepEqual(await checked(programs), ['Azure Marketplace']);
  await page.locator('#controls:not([data-looking])').waitFor({ state: 'attached' });
  await page.getByText('are being looked up').waitFor({ state: 'hidden' });
  await page.waitForFunction(() => document.querySelector('#filter').value.includes("'Azure Marketplace'"));
  // Whoever goes by keyboard is where they were.
  assert.ok(await page.evaluate(() => document.activeElement !== document.body));
  await accessible(page, 'lists that came later');

  // Names come with their own, and only within one's own grants.
  const names = async (each) => {
    await each.locator('#controls:not([data-looking])').waitFor({ state: 'attached' });
    return each.locator('input[name="participant"]').evaluateAll((all) => all.map((box) => Number(box.value)));
  };
  assert.deepEqual(await names(bob), [1000042]);
  assert.ok((await names(narrow)).length > 1);

  // Without JavaScript: load it again.
  await plain.getByRole('link', { name: 'load the form again' }).click();
  await plain.locator('#controls:not([data-looking])').waitFor();
  await plain.locator('input[name="value.paymentStatus"]').nth(1).waitFor({ state: 'attached' });
});

async function checked(boxes) {
  return (await boxes.evaluateAll((all) => all.filter((box) => box.checked).map((box) => box.value))).sort();
}
