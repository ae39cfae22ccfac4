ringtap_test(synth SOURCES ${CMAKE_SOURCE_DIR}/native/test/synth_test.cc LINK ringtap_backend_synth)
