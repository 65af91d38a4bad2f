//! Cuts the lists of a report. What is cut is in the sums of the rest.

use super::super::form::{FileList, Report};

/// Leaves at most `rows` entries in each list.
pub(in super::super) fn cut(report: &mut Report, rows: usize) {
    let processes = &mut report.processes;
    for row in cut_off(&mut processes.commands, rows) {
        processes.commands_rest = processes.commands_rest.plus(&row.own);
    }
    for row in cut_off(&mut processes.rows, rows) {
        processes.rows_rest = processes.rows_rest.plus(&row.sums);
    }
    for row in cut_off(&mut processes.failures, rows) {
        let rest = processes.failures_rest;
        processes.failures_rest = rest.saturating_add(row.count);
    }
    cut_files(&mut report.files.by_file, rows);
    cut_files(&mut report.files.by_directory, rows);
    let network = &mut report.network;
    for row in cut_off(&mut network.rows, rows) {
        network.rest = network.rest.plus(&row.sums);
    }
}

fn cut_files(list: &mut FileList, rows: usize) {
    for row in cut_off(&mut list.rows, rows) {
        list.rest = list.rest.plus(&row.sums);
    }
}

fn cut_off<T>(list: &mut Vec<T>, rows: usize) -> Vec<T> {
    list.split_off(rows.min(list.len()))
}
