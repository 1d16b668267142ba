//! Pictures of what was measured, as SVG.

use std::path::PathBuf;

use anyhow::{Context, Result, anyhow};
use bench::table::Samples;
use plotters::prelude::*;

/// Where pictures go: `STARLING_BENCH_PLOTS`, or nowhere.
pub(crate) struct Plots {
    folder: Option<PathBuf>,
}

/// A named line.
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
}

type Chart<'a, 'b, 'c> = ChartBuilder<'a, 'b, SVGBackend<'c>>;
type Drawn = std::result::Result<(), Box<dyn std::error::Error>>;

const SIZE: (u32, u32) = (720, 360);
const FONT: (&str, u32) = ("sans-serif", 14);
const COLOURS: [RGBColor; 4] =
    [RGBColor(0, 95, 175), RGBColor(200, 80, 0), RGBColor(0, 130, 90), RGBColor(150, 60, 150)];

impl Plots {
    pub(crate) fn chosen() -> Result<Self> {
        let folder = std::env::var_os("STARLING_BENCH_PLOTS").map(PathBuf::from);
        if let Some(folder) = &folder {
            std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        }
        Ok(Self { folder })
    }

    /// Bars with their spread, and a mark at what each is meant to be at most.
    pub(crate) fn bars(&self, file: &str, title: &str, bars: &[(&str, &Samples, f64)]) -> Result<()> {
        let most = bars.iter().map(|(_, samples, target)| samples.most().max(*target)).fold(1.0, f64::max) * 1.1;
        self.draw(file, title, |chart| {
            let mut chart = chart
                .x_label_area_size(30)
                .y_label_area_size(48)
                .build_cartesian_2d(-0.5..bars.len() as f64 - 0.5, 0.0..most)?;
            let label = |x: &f64| {
                let near = (x - x.round()).abs() < 0.01 && *x >= -0.01;
                bars.get(x.round().max(0.0) as usize)
                    .filter(|_| near)
                    .map_or_else(String::new, |(name, ..)| (*name).to_owned())
            };
            chart
                .configure_mesh()
                .disable_x_mesh()
                .x_labels(2 * bars.len() + 1)
                .x_label_formatter(&label)
                .label_style(FONT)
                .draw()?;
            for (n, (_, samples, target)) in bars.iter().enumerate() {
                let x = n as f64;
                chart.draw_series([Rectangle::new(
                    [(x - 0.3, 0.0), (x + 0.3, samples.median())],
                    COLOURS[0].filled(),
                )])?;
                let spread = vec![(x, samples.least()), (x, samples.most())];
                chart.draw_series([PathElement::new(spread, BLACK.stroke_width(2))])?;
                let mark = vec![(x - 0.38, *target), (x + 0.38, *target)];
                chart.draw_series([PathElement::new(mark, COLOURS[1].stroke_width(3))])?;
            }
            Ok(())
        })
    }

    /// Lines over a logarithmic axis.
    pub(crate) fn lines(&self, file: &str, title: &str, over: &str, lines: &[Line]) -> Result<()> {
        let all = || lines.iter().flat_map(|line| &line.points);
        let first = all().map(|(x, _)| *x).fold(f64::INFINITY, f64::min);
        let last = all().map(|(x, _)| *x).fold(1.0, f64::max) * 1.05;
        let most = all().map(|(_, y)| *y).fold(1.5, f64::max) * 1.1;
        self.draw(file, title, |chart| {
            let mut chart = chart
                .x_label_area_size(40)
                .y_label_area_size(48)
                .build_cartesian_2d((first..last).log_scale(), 0.0..most)?;
            chart.configure_mesh().x_desc(over).label_style(FONT).draw()?;
            for (line, colour) in lines.iter().zip(COLOURS.iter().cycle()) {
                chart
                    .draw_series(LineSeries::new(line.points.iter().copied(), colour.stroke_width(2)))?
                    .label(line.name.as_str())
                    .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(2)));
                chart.draw_series(line.points.iter().map(|point| Circle::new(*point, 4, colour.filled())))?;
            }
            chart
                .configure_series_labels()
                .position(SeriesLabelPosition::UpperLeft)
                .background_style(WHITE.mix(0.8))
                .label_font(FONT)
                .draw()?;
            Ok(())
        })
    }

    fn draw(&self, file: &str, title: &str, chart: impl FnOnce(&mut Chart<'_, '_, '_>) -> Drawn) -> Result<()> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let path = folder.join(format!("{file}.svg"));
        let root = SVGBackend::new(&path, SIZE).into_drawing_area();
        let draw = || -> Drawn {
            root.fill(&WHITE)?;
            chart(ChartBuilder::on(&root).caption(title, ("sans-serif", 18)).margin(12))?;
            Ok(root.present()?)
        };
        draw().map_err(|error| anyhow!("drawing {}: {error}", path.display()))
    }
}
