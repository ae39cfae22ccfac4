ringtap_test(export SOURCES ${CMAKE_SOURCE_DIR}/native/test/export_test.cc LINK ringtap_export)
