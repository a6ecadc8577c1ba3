// Grafana's own types for a dashboard and for the four kinds of panels that ours has; its JSON is judged by
// the compiler, which refuses an unknown key, a missing one and a wrong value.
import type { Dashboard, FieldConfigSource, Panel, RowPanel } from '@grafana/schema';
import type * as heatmap from '@grafana/schema/dist/esm/raw/composable/heatmap/panelcfg/x/HeatmapPanelCfg_types.gen';
import type * as stat from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import type * as table from '@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen';
import type * as timeseries from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';

// JSON has the value of an enum where TypeScript wants its name.
type Json<T> = T extends string ? `${T}` : T extends number | boolean | null | undefined ? T : { [K in keyof T]: Json<T[K]> };

type Shown<Type, Options, Custom> = Omit<Panel, 'type' | 'title' | 'description' | 'options' | 'fieldConfig'> & {
  type: Type;
  title: string;
  description: string;
  options: Options;
  fieldConfig: Omit<FieldConfigSource, 'defaults'> & {
    defaults: Omit<FieldConfigSource['defaults'], 'unit' | 'custom'> & { unit: string; custom?: Partial<Custom> };
  };
};

type Ours = Omit<Dashboard, 'panels'> & {
  panels: Array<
    | RowPanel
    | Shown<'heatmap', heatmap.Options, heatmap.FieldConfig>
    | Shown<'stat', stat.Options, never>
    | Shown<'table', table.Options, table.FieldConfig>
    | Shown<'timeseries', timeseries.Options, timeseries.FieldConfig>
  >;
};

export type Judged = Json<Ours>;
