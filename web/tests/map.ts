// What tests do with the map: point at nodes and edges where they are drawn.
import type { Page } from 'playwright-core';

interface Drawing extends HTMLElement {
  rfPlaceOf(key: string): { x: number; y: number } | undefined;
}

/** Where a node or an edge is drawn on the screen, once it is. */
export async function placeOf(page: Page, key: string): Promise<{ x: number; y: number }> {
  const drawing = page.getByTestId('map');
  await drawing.waitFor({ state: 'attached' });
  const handle = await page.waitForFunction((wanted) => {
    const element = document.querySelector<Drawing>('[data-testid=map]');
    const box = element?.getBoundingClientRect();
    const at = element?.rfPlaceOf?.(wanted);
    return at && box ? { x: at.x + box.x, y: at.y + box.y } : undefined;
  }, key);
  return handle.jsonValue() as Promise<{ x: number; y: number }>;
}

export async function clickOn(page: Page, key: string): Promise<void> {
  const { x, y } = await placeOf(page, key);
  await page.mouse.click(x, y);
}

/** Opens a place and waits for its map. */
export async function openMap(page: Page, url: string): Promise<void> {
  await page.goto(url);
  await page
    .locator('.trail')
    .getByText(/\d nodes?,/)
    .waitFor();
}
