/** Looks of widgets, a module for each family of components. */

import { buttons } from "./buttons";
import { fields } from "./fields";
import { layout } from "./layout";
import { pickers } from "./pickers";
import { roots } from "./roots";
import { texts } from "./texts";
import { tones } from "./tones";

export const widgetStyles = [roots, layout, texts, tones, buttons, fields, pickers];
